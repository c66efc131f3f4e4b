"""The scorer: how unusual is each event, and what is it like?"""
