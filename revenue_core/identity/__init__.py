"""The account behind the events: a pure function of the set of links (R37 to R43).

``graph.Graph`` is the entry: it is told observations one by one, in any order, and says what each one changed.
"""
