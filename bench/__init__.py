"""Measurements of a whole running stack against pgbench on the same server: `python -m bench`, or `make bench`.

__main__     the command line
run          what is measured, in which order
stack        `billfold up` on a data folder of its own: started, asked, stopped
processes    processor time and memory of the stack's processes
machine      what it all ran on
pgbench      the yardstick: PostgreSQL's own TPC-B-like test
wrk          the load generator, a process of its own; its scripts are in lua/
population   wallets, and the money in them
people       somebody with a key and a login, and logins of nobody
loads        transfers over HTTP: one at a time, on one hot wallet, in bulk
journal      accounts with long pasts, written by SQL
balances     what it costs to read a balance, now and at an instant
latency      from a COMMIT to its event at a consumer; the consumer is a process of its own
posting      a program that posts without HTTP, a process of its own
direct       how fast it is with the ledger within, and over gRPC
roles        an API and a worker over servers of our own, under any settings
costs        what the audit and traces cost the money path
outage       the broker is away, and is caught up with
later        requests that are carried out later
brokers      events on Kafka and RabbitMQ; tailing is their consumer, another process
figures      medians and percentiles
service_rows the rows of gRPC, the audit and traces
rows         a figure, its target, and whether it was reached
report       the table, and the files in results/
"""
