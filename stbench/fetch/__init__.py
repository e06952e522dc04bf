"""Fetching files: transfers that resume, archives unpacked safely, hashes recorded beside the files."""
