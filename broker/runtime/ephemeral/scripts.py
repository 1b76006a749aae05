"""What Redis runs: the rules of `model` and `memory`, one script each, by the clock that is handed in.

Each answer begins with the keys that it is of: what a proxy or a connection mixed up is no answer. `%.17g` keeps every
bit of a time; Redis forgets a key by its own clock, a little later than it has ended by the callers'.
"""

HIT = """
local now, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local kept = redis.call('HGET', KEYS[1], 'ends')
local ends = kept and tonumber(kept)
if ends and now < ends and ends <= now + window + tonumber(ARGV[4]) then
  return {KEYS[1], kept, redis.call('HINCRBY', KEYS[1], 'count', 1)}
end
kept = string.format('%.17g', now + window)
redis.call('HSET', KEYS[1], 'ends', kept, 'count', 1)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {KEYS[1], kept, 1}
"""
SEEN = """
local kept = redis.call('HMGET', KEYS[1], 'ends', 'count')
return {KEYS[1], kept[1], kept[2]}
"""
FORGIVE = """
local count = tonumber(redis.call('HGET', KEYS[1], 'count') or 0)
if count > 1 then return {KEYS[1], '0', redis.call('HINCRBY', KEYS[1], 'count', -1)} end
redis.call('DEL', KEYS[1])
return {KEYS[1], '0', 0}
"""
TAKE = """
local now, names, after = tonumber(ARGV[1]), table.concat(KEYS, ' '), {}
local which, longest = 0, 0
for i = 1, #KEYS do
  local amount, depth = tonumber(ARGV[4 * i - 2]), tonumber(ARGV[4 * i - 1])
  local full = now + depth
  local kept = tonumber(redis.call('GET', KEYS[i]) or '') or now
  if kept > full + tonumber(ARGV[4 * i + 1]) then kept = now end
  after[i] = math.max(now, kept) + amount
  local wait = after[i] - full
  if wait > tonumber(ARGV[4 * i]) and (which == 0 or wait > longest) then which, longest = i, wait end
end
if which > 0 then return {names, which, string.format('%.17g', longest)} end
for i = 1, #KEYS do
  local left = math.ceil((after[i] - now + tonumber(ARGV[4 * i + 1])) * 1000)
  redis.call('SET', KEYS[i], string.format('%.17g', after[i]), 'PX', left)
end
return {names, 0, '0'}
"""
GIVE_BACK = """
for i = 1, #KEYS do
  local kept = redis.call('GET', KEYS[i])
  if kept then
    redis.call('SET', KEYS[i], string.format('%.17g', tonumber(kept) - tonumber(ARGV[i])), 'KEEPTTL')
  end
end
return {table.concat(KEYS, ' ')}
"""
LEASE = """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])
if not redis.call('ZSCORE', KEYS[1], ARGV[4]) and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then
  return {KEYS[1], 0}
end
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[4])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[5]) then redis.call('PEXPIRE', KEYS[1], ARGV[5]) end
return {KEYS[1], 1}
"""
RELEASE = """
redis.call('ZREM', KEYS[1], ARGV[1])
return {KEYS[1]}
"""
ALL = (HIT, SEEN, FORGIVE, TAKE, GIVE_BACK, LEASE, RELEASE)
