"""All processes of a gateway, on all its hosts, and this one among them.

presence   who this process is, and whether an operator has taken it out of service
under_way  the requests that they say they are answering
hosts      what all of them said, by their hosts, as people see it
"""
