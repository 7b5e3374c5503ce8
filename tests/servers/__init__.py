"""Real servers for tests: started on 127.0.0.1 on free ports, stopped by id, nothing left behind."""
