"""The story of alerts: a rule is a pure function of measurements, in event time (when they were measured);
its state is rows, and notifications go through a transactional outbox.

1. rule and samples work out the spans in which a rule holds, from readings alone.
2. Where rows came or went, or something falls due by time, the spans of that time are worked out again
   (anew), and the incidents are made equal to them (match; evaluating, changing). So what arrives late, twice
   or after a crash ends in the same.
3. A worker looks at what it stored within a second (watching), which is a hint; what the ledger names is due
   for the job in any case (touched, due), as is what falls due by time.
4. A change of an incident and its notifications are one transaction; they are sent afterwards, with retries,
   at least once (outbox).
"""
