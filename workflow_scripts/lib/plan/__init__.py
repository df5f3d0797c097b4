"""What a study will cost, from its settings, its texts and its models' configs, before anything is made."""
