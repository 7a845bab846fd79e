-- A small write for WAIT to wait for, also when the server is out of memory (see commit.lua).
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], ARGV[1])
return {'done'}
