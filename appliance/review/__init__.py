"""What people say about a teacher's answers before a student learns from them.

`curate` ranks the answers that a person should look at (`queue.py`); a person accepts, corrects or rejects them
(`decisions.py`), and the next `curate` takes what they said in place of the teacher's answer.
"""
