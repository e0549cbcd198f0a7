"""The dashboard: the pages at /admin/ on which people see what the gateway does.

In the order in which to read them:

    routes         the table of pages, and the right that each needs
    application    pages as routes of the admin API, which knows who asks and what they may
    page_request   what a page is made from: parameters, the store, templates
    page_process/  the process in which pages are made, while somebody looks
    rendering      the templates, which escape whatever is put into them
    formats        numbers, money, durations and times as a person reads them
    links          addresses of pages, with their filters
    served_address where models are served, for commands that pages show
    outcomes       what came of something that was done
    assets         scripts, styles, the font: under addresses that never change their content
    pages/         one module a page
    asking/        requests that are made, or made again, by a person
    actions/       what people do from pages
    views/         what pages show, made ready: no page reads a record by itself
    live/          what is sent while a page is open: server-sent events

`templates/` and `static/` are part of the package. No page loads anything from another machine,
and nothing from a request or a provider becomes HTML: see `docs/dashboard.md`.
"""
