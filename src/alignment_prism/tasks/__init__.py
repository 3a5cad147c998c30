"""The evaluations as tasks of Inspect: `inspect eval alignment_prism/harm -T prompts=aya.jsonl -T judge=ID`."""
