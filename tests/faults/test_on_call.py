"""Workers that are killed, deaf or overloaded, each seen for what it is: real processes, real signals, real brokers."""
