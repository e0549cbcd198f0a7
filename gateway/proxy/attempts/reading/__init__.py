"""Read what a provider answers, up to the point where it deserves to be shown.

    body            a body in bounds: inflated if it is compressed, and its beginning
    whole           a whole answer, or the stream that came instead of one
    first_events    a stream up to its first content, whatever type it is sent under
    channel         what of a stream waits to be sent on
    grace           how long an answer that is whole waits for its end
    reported_error  an error with status 200, and what it means

They judge nothing but the bytes: what an outcome leads to is decided in `attempt.py`'s caller.
"""
