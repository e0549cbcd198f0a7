"""What the admin API and the command line read: pages of the logs, and sums of the roll-ups.

Every query takes a connection, costs about the same however large the tables are, and raises
InvalidRequest for what it cannot answer. In reading order:

    filters      which rows are asked for, read from a query string
    conditions   filters as SQL conditions
    cursor       where a page ended, as a text
    index_scan   rows by the best single index, checked against the other conditions
    request_log  pages of the request log, and one request with its attempts
    agent_sessions  sessions of agents, newest first
    session_thread  one session, and its agents
    user_usage   what users have used
    audit_log    pages of the audit log
    rollup_sums  sums of roll-ups over a span of time
    usage        usage and costs by group and time
    stats        figures for a dashboard, and the health of deployments
    last_used    when keys were last used
    spent        what each token has spent, for budgets
"""
