-- Hands a batch over: atomic, and idempotent by its receipt.
-- KEYS  1 batch  2 due  3 since  4 books  5 receipt  6 bridge  7 seen  8 seen:count
--       9 receipts, by the end of the minute in which they expire  10 their bytes, by the same
--       11 the last batches, by how many messages were handed over up to them  12 messages by minute of this hour
-- ARGV  1 id  2 body  3 messages  4 now  5 bytes that the batch costs  6 most bytes of batches and receipts
--       7 receipt to leave  8 its life in seconds (0: for ever)  9 '1': a receipt found decides, whatever it says
--       10 owner's token ('' where there is no bridge)  11 what to remember of redelivery ('' for nothing)
--       12 bytes of one memory  13 how many memories to keep  14 the bridge's client id
--       15 bytes that the receipt costs  16 most bytes of receipts, where a key was given
-- Returns {what came of it, how many batches are pending}; what came of it is 'handed over',
-- 'handed over before', 'not owner', 'full', 'full of receipts', or the receipt found.
-- Unlike the scripts that free memory it is refused where Redis has reached its maxmemory.
if ARGV[10] ~= '' then
  local owner = redis.call('HGET', KEYS[6], 'owner')
  if not owner then
    -- Redis was emptied: the name is nobody's, and the broker's session is still under our client id.
    redis.call('HSET', KEYS[6], 'client_id', ARGV[14], 'owner', ARGV[10])
  elseif owner ~= ARGV[10] then
    return {'not owner', 0}
  end
end
local receipt = redis.call('GET', KEYS[5])
if receipt then
  if receipt == ARGV[7] then return {'handed over before', redis.call('ZCARD', KEYS[3])} end
  if ARGV[9] == '1' then return {receipt, 0} end
end
for _, minute in ipairs(redis.call('ZRANGEBYSCORE', KEYS[9], '-inf', ARGV[4], 'LIMIT', 0, 60)) do
  redis.call('HINCRBY', KEYS[4], 'receipt_bytes', -redis.call('HGET', KEYS[10], minute))
  redis.call('HDEL', KEYS[10], minute)
  redis.call('ZREM', KEYS[9], minute)
end
local held = redis.call('HMGET', KEYS[4], 'pending_bytes', 'receipt_bytes')
local pending, receipts = tonumber(held[1] or '0'), tonumber(held[2] or '0')
if pending + receipts + ARGV[5] + ARGV[15] > tonumber(ARGV[6]) then return {'full', 0} end
if ARGV[9] == '1' and receipts + ARGV[15] > tonumber(ARGV[16]) then return {'full of receipts', 0} end
redis.call('HSET', KEYS[1], 'body', ARGV[2], 'messages', ARGV[3], 'bytes', ARGV[5])
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
redis.call('ZADD', KEYS[3], ARGV[4], ARGV[1])
local upto = redis.call('HINCRBY', KEYS[4], 'handed_over', ARGV[3])
redis.call('ZADD', KEYS[11], upto, ARGV[1] .. ' ' .. ARGV[3])
redis.call('ZREMRANGEBYRANK', KEYS[11], 0, -1001)
if redis.call('HINCRBY', KEYS[12], math.floor(ARGV[4] / 60) % 60, ARGV[3]) == tonumber(ARGV[3]) then
  redis.call('EXPIRE', KEYS[12], 26 * 3600)
end
redis.call('HINCRBY', KEYS[4], 'pending_messages', ARGV[3])
redis.call('HINCRBY', KEYS[4], 'pending_bytes', ARGV[5])
if ARGV[8] == '0' then
  redis.call('SET', KEYS[5], ARGV[7])
else
  redis.call('SET', KEYS[5], ARGV[7], 'EX', ARGV[8])
  local minute = (math.floor((ARGV[4] + ARGV[8]) / 60) + 1) * 60
  redis.call('ZADD', KEYS[9], minute, minute)
  redis.call('HINCRBY', KEYS[10], minute, ARGV[15])
  redis.call('HINCRBY', KEYS[4], 'receipt_bytes', ARGV[15])
end
if ARGV[11] ~= '' then
  local one = tonumber(ARGV[12])
  redis.call('RPUSH', KEYS[7], ARGV[11])
  local count = redis.call('INCRBY', KEYS[8], #ARGV[11] / one)
  local first = redis.call('LINDEX', KEYS[7], 0)
  while first and count - #first / one >= tonumber(ARGV[13]) do
    redis.call('LPOP', KEYS[7])
    count = redis.call('DECRBY', KEYS[8], #first / one)
    first = redis.call('LINDEX', KEYS[7], 0)
  end
end
return {'handed over', redis.call('ZCARD', KEYS[3])}
