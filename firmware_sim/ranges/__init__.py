"""Static proof of ranges: which values every intermediate of the loop can take, for any input, state and parameter.

`proof.prove` walks the stages in order. Each step says in the `Ledger` what must fit where; a model that
breaks a limit is refused with the place, the bound and what to do.
"""
