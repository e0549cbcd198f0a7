"""Tools that a provider runs itself, such as web search.

    tool        one of them, as a request asks for it
    available   which of a request's its target has; the others are left out, or refused

What such a tool has done stands among the events of an answer (`events.Searched`).
"""
