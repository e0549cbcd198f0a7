"""OpenAI's API as clients of Azure OpenAI ask for it.

    at_deployment  requests whose model stands in their path

Everything else of it is OpenAI's own: paths and keys are told in `api/`.
"""
