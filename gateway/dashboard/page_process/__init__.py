"""The process in which pages are made, so that the gateway's own has its processor for requests.

A thread that reads or renders needs the same interpreter, and often the same core, as the event
loop. So what a page costs is done by a child with a low priority. It is started when a page
stays open or many are looked at, and ended when nobody has looked for some minutes; while there is
none, and where there cannot be one, threads do the same.

    task      what it is asked for: a read of the database, or a rendering
    wire      tasks and answers as bytes
    link      tasks that are under way in it
    maker     starts it, and does without it
    child     the process itself
"""
