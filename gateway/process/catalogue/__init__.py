"""What a process knows of providers and their models beside its configuration.

facts        the data on models, read at the start and at each reload
new_book     newer data, for `gateway prices update`
model_lists  which models a provider says that it has, for `gateway models`
"""
