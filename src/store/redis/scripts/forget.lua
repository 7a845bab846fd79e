-- Takes members out of sets and deletes records. KEYS: first the set of each member, then the
-- records. ARGV: the members.
-- A set that is something else is an error here, before anything was written.
for n = 1, #ARGV do redis.call('ZCARD', KEYS[n]) end
for n = 1, #ARGV do redis.call('ZREM', KEYS[n], ARGV[n]) end
for n = #ARGV + 1, #KEYS do redis.call('DEL', KEYS[n]) end
return {'yes'}
