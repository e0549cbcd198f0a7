"""What the commands print and write.

plain_text       makes text from elsewhere harmless for a terminal
columns          tables without lines
atomic_file      a file that appears under its name only when it is whole
transcript_view  captures as `gateway debug` shows them
"""
