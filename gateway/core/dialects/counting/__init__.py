"""How many tokens a prompt has: by a provider's counter, or a tokenizer.

    counter     what a provider's counter is sent, and what it answers
    counters    those of each API that has one
    asked       which chat a request for a count asks about
    prompt      the text of that; None where it can't be taken apart
    plain_text  all text of a request in canonical form

How many tokens a text is says `core/limits/prompt_text.py`, by the count of whoever counts.
"""
