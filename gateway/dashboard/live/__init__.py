"""What is sent to a page while it is open: server-sent events.

stream     one open page: its events, until it leaves or the process does
shared     figures that several open pages show, read once for all of them
processes  what the processes say, asked once a second for all pages
"""
