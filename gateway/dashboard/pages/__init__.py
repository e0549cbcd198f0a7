"""One module a page: what it reads, and which template shows it.

sign_in         the way in and out
overview        what is wrong now, then how everything has been going
requests        the history of requests, live if wanted
request_detail  one request
keys/           keys and teams
sessions        sessions of agents, and one of them
exports         files to download
"""
