-- Takes members out of sets and deletes records. KEYS: first the set of each member, then the
-- records. ARGV: the members.
for n = 1, #ARGV do
  local kind = redis.call('TYPE', KEYS[n]).ok
  if kind ~= 'zset' and kind ~= 'none' then
    return redis.error_reply('WRONGTYPE a set of the store is something else')
  end
end
for n = 1, #ARGV do redis.call('ZREM', KEYS[n], ARGV[n]) end
for n = #ARGV + 1, #KEYS do redis.call('DEL', KEYS[n]) end
return {'yes'}
