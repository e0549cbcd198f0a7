"""What stands between a request and its caller's side, for as long as it is answered.

    pass_through  passes everything on; the others are it, but for what they do with an answer
    capturing     notes for the debug log what is written
    encoding      writes an answer as its path has it, where the body told the dialect
    keeping       keeps responses that the gateway has made
    recording     collects an answer for the cache

Each takes the place of `exchange.client` and writes to the one that was there before.
"""
