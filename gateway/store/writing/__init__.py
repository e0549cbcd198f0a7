"""From a finished request to its rows, so that nothing is lost and nothing is written twice.

In reading order:

    writer       `Writer`: two tasks, one that gathers batches and one that writes them
    queue        what is in memory only, bounded
    batch        a numbered batch, and its form in a journal
    unwritten    what is not known to be in the database: queue, batch and journals
    journal      one locked file of batches that the database has not confirmed
    backlog      this writer's journals, and those of writers that died
    adoption     when to look for those journals
    journal_spending  what journals hold of spending, for budgets at the start
    insert       one transaction: batches, roll-ups, and how far the writer has come
    rows         a record as the rows of its request and attempts
    rollup_rows  what a batch adds to the roll-ups
    chain        the audit log as a chain of hashes: append and verify
    rejected     items that can never be written, kept in a file
    status       the state of the writer, for metrics, health and the log
"""
