"""The debug log: whole requests and answers, redacted, as files in a folder for each day.

A capture is taken by `core/capture/`; nothing here sees a request that is under way, and nothing
uses SQL. In reading order:

    files       the files: write one, list them, read one, prune the oldest
    disk_quota  how much may still be written before the folder must be listed again
    writer      `CaptureWriter`: a `Spooler` that writes captures on a worker thread
    erasure     removes the captures of a request, a key or a user
    search      the captures of one request id, bounded in number and bytes
"""
