"""A second, independent implementation of the written rules, to hold the product against.

Brute force on purpose: everything is computed from the whole set of messages, nothing is kept. It imports the
standard library only. It covers native messages that are valid and carry an ``account_id``, no learned parameters.
"""
