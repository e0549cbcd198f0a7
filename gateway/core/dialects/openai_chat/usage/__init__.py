"""What an answer took, in every spelling and place of OpenAI-compatible servers.

    reports        the reports of one answer, from wherever they stand, merged as they are spelled
    counts         what they mean together
    usual_counts   the same of the two usual reports, quickly

Stream and whole answer ask `reports`; prices and limits are not known here.
"""
