#!lua flags=allow-oom
-- Nothing is wrong with the batches: each is retried later, with exponential backoff.
-- KEYS 1 due  2... the batches
-- ARGV 1 now  2 longest delay in seconds  3 how many attempts to take back from each  4 '1': each is taken
--      by itself the next time  5... their ids
-- Returns the longest of the delays in seconds, -1 where all of them are gone.
local longest = -1
for place = 2, #KEYS do
  if redis.call('EXISTS', KEYS[place]) == 1 then
    if ARGV[3] ~= '0' then redis.call('HINCRBY', KEYS[place], 'starts', -ARGV[3]) end
    if ARGV[4] == '1' then
      redis.call('HSET', KEYS[place], 'apart', 1)
    else
      redis.call('HDEL', KEYS[place], 'apart')
    end
    local delay = math.min(tonumber(ARGV[2]), 2 ^ (redis.call('HINCRBY', KEYS[place], 'postponed', 1) - 1))
    redis.call('ZADD', KEYS[1], ARGV[1] + delay, ARGV[place + 3])
    longest = math.max(longest, delay)
  end
end
return tostring(longest)
