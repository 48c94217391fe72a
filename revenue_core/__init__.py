"""What is decided: attribution, probability and temperature as pure functions of an account's facts.

Standard library only; no clock, no chance, no asyncio. Instants are integer milliseconds since the Unix
epoch (UTC), money is integer minor units plus an ISO 4217 code. Rule numbers (R17) refer to the rules that
``docs/rules.md`` lists.
"""
