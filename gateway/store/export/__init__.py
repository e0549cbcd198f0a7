"""Exports of requests, audit events and usage in full, page by page, in constant memory.

In reading order:

    columns         the columns of rows, and the protocol `TableFormat`
    pager           `RowSource` and `Pager`: read rows in key order, in short transactions
    sources         the three sources: requests, audit log, usage
    csv_format, jsonl_format, parquet_format
                    the formats; Parquet needs an extra
    export          `Export`: source, format and gzip put together, a page at each step
    stream          the same for the event loop, each step on a worker thread
"""
