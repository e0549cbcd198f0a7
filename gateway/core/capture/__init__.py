"""What the debug log keeps of a request, and what it must not keep.

In reading order:

    capture        which requests are kept; one request and its answer, in bounded memory
    json_path      the paths by which the configuration names what to take out
    redaction      takes out credentials, known secrets and what the paths name
    stream_events  a stream as events, in whichever form it was sent
    transcript     a capture as lines of JSON, after redaction
    named_users    whom a body says that it is made for

`proxy/capture.py` collects, `captures/` writes the files and finds them again.
"""
