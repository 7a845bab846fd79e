-- Writes what only the holder of a lease may. KEYS: 1 the lease, 2 what is written.
-- ARGV: 1 who asks, 2 the value.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {'no'} end
redis.call('SET', KEYS[2], ARGV[2])
return {'yes'}
