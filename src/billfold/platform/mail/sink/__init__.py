"""The mail server of the embedded stack: a real one that takes every mail, delivers none, and shows them.

box        the folder of mails, bounded
letters    what is in a mail, whoever wrote it
receiving  SMTP
web        the page, and the same as JSON
"""
