"""What is Amazon's: the signatures of its calls.

signing   Signature Version 4, by botocore, in `Deployment.prepare`
"""
