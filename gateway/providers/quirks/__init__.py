"""Where a server differs from the API that it speaks, as data: `quirks` of a provider's table.

    settings  the table, which presets fill and the file may change
    hints     members of a body that a provider may be spared without asking
    fitting   what a body has to be changed in
    refusals  codes and words of refusals that mean something with this provider alone

What all servers of a kind have in common is no quirk: `words/` has what their refusals say, and the
dialects read every usual spelling of usage.
"""
