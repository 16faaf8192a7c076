#!lua flags=allow-oom
-- Nothing is wrong with the batches: moves each one's due time on, a little longer each time.
-- KEYS 1 due  2... the batches
-- ARGV 1 now  2 longest delay in seconds  3 '1': they were taken together, and none counts as started
--      4... their ids
-- Returns the longest of the delays in seconds, -1 where all of them are gone.
local longest = -1
for place = 2, #KEYS do
  if redis.call('EXISTS', KEYS[place]) == 1 then
    if ARGV[3] == '1' then
      redis.call('HDEL', KEYS[place], 'together')
    else
      redis.call('HINCRBY', KEYS[place], 'starts', -1)
    end
    local delay = math.min(tonumber(ARGV[2]), 2 ^ (redis.call('HINCRBY', KEYS[place], 'postponed', 1) - 1))
    redis.call('ZADD', KEYS[1], ARGV[1] + delay, ARGV[place + 2])
    longest = math.max(longest, delay)
  end
end
return tostring(longest)
