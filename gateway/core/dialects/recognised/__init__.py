"""What is recognised in the bytes of a request and of an answer that are passed on unread.

    request  the model that a body names, and whether it asks for a stream
    kin      what the dialects of one API have in common
    usage    the reports of usage in an answer, wherever it has them
    batches  what a batch has used, in its results
    units    what is billed by the image, the second or the character

They only look: for records, prices and limits. Not a byte is changed for them.
"""
