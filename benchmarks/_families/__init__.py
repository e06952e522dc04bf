"""Fragments that protocol files share with ``include:``, one YAML file each."""
