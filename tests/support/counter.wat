;; Counts what it handles: the body is a key of its state, the value how often that body came, in one byte.
;; It replies with the count, so that a message which acted twice shows twice.
;;
;; Memory: a scratch area below 1024, then a bump allocator that only ever grows.
(component
  (import "lockgate:guest/state@0.1.0" (instance $state
    (export "get" (func (param "key" (list u8)) (result (option (list u8)))))
    (export "set" (func (param "key" (list u8)) (param "value" (list u8))))))

  (core module $Memory
    (memory (export "memory") 1)
    (global $top (mut i32) (i32.const 1024))
    ;; realloc(old, old size, alignment, new size): nothing here ever grows in place
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at
        (i32.and
          (i32.add (global.get $top) (i32.sub (local.get 2) (i32.const 1)))
          (i32.sub (i32.const 0) (local.get 2))))
      (global.set $top (i32.add (local.get $at) (local.get 3)))
      (block $fits
        (loop $grow
          (br_if $fits
            (i32.le_u (global.get $top) (i32.mul (memory.size) (i32.const 65536))))
          (br_if $grow (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))
          (unreachable)))
      (local.get $at)))
  (core instance $memory (instantiate $Memory))
  (core func $get (canon lower (func $state "get") (memory (core memory $memory "memory"))
    (realloc (core func $memory "realloc"))))
  (core func $set (canon lower (func $state "set") (memory (core memory $memory "memory"))))

  (core module $Counter
    (import "memory" "memory" (memory 1))
    (import "state" "get" (func $get (param i32 i32 i32)))
    (import "state" "set" (func $set (param i32 i32 i32 i32)))
    (data (i32.const 64) "counter.nothinga body of at least one byte is counted")

    ;; the count of a key goes to address 48; 32..43 is where `get` leaves option<list<u8>>
    (func $count (param $key i32) (param $length i32)
      (call $get (local.get $key) (local.get $length) (i32.const 32))
      (i32.store8 (i32.const 48)
        (if (result i32) (i32.load8_u (i32.const 32))
          (then (i32.load8_u (i32.load (i32.const 36))))
          (else (i32.const 0)))))

    ;; reaction: 0 reply(pointer, length), 1 refuse(code pointer, length, detail pointer, length)
    (func (export "handle")
      (param $id i32) (param i32) (param $sender i32) (param i32) (param $schema i32) (param i32)
      (param $body i32) (param $length i32) (param $deadline i64) (result i32)
      (if (i32.eqz (local.get $length))
        (then
          (i32.store (i32.const 0) (i32.const 1))
          (i32.store (i32.const 4) (i32.const 64))
          (i32.store (i32.const 8) (i32.const 15))
          (i32.store (i32.const 12) (i32.const 79))
          (i32.store (i32.const 16) (i32.const 38)))
        (else
          (call $count (local.get $body) (local.get $length))
          (i32.store8 (i32.const 48) (i32.add (i32.load8_u (i32.const 48)) (i32.const 1)))
          (call $set (local.get $body) (local.get $length) (i32.const 48) (i32.const 1))
          (i32.store (i32.const 0) (i32.const 0))
          (i32.store (i32.const 4) (i32.const 48))
          (i32.store (i32.const 8) (i32.const 1))))
      (i32.const 0))

    (func (export "acknowledged") (param i32 i32 i32 i32))
    (func (export "timed-out") (param i32 i32))
    (func (export "refused") (param i32 i32 i32 i32))

    ;; the count of a key, as one byte
    (func (export "command") (param $key i32) (param $length i32) (result i32)
      (call $count (local.get $key) (local.get $length))
      (i32.store (i32.const 0) (i32.const 0))
      (i32.store (i32.const 4) (i32.const 48))
      (i32.store (i32.const 8) (i32.const 1))
      (i32.const 0)))

  (core instance $counter (instantiate $Counter
    (with "memory" (instance $memory))
    (with "state" (instance (export "get" (func $get)) (export "set" (func $set))))))

  (type $bytes (list u8))
  (type $message (record
    (field "id" $bytes)
    (field "sender" string)
    (field "schema" string)
    (field "body" $bytes)
    (field "deadline" u64)))
  (type $refusal (record (field "code" string) (field "detail" string)))
  (type $reaction (variant (case "reply" $bytes) (case "refuse" $refusal) (case "defer")))

  (func $handle (param "message" $message) (result $reaction)
    (canon lift (core func $counter "handle")
      (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
  (func $acknowledged (param "sent" $bytes) (param "reply" $bytes)
    (canon lift (core func $counter "acknowledged")
      (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
  (func $timed-out (param "sent" $bytes)
    (canon lift (core func $counter "timed-out")
      (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
  (func $refused (param "sent" $bytes) (param "code" string)
    (canon lift (core func $counter "refused")
      (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
  (func $command (param "input" $bytes) (result (result $bytes (error $refusal)))
    (canon lift (core func $counter "command")
      (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))

  (instance $handler
    (export "message" (type $message))
    (export "refusal" (type $refusal))
    (export "reaction" (type $reaction))
    (export "handle" (func $handle))
    (export "acknowledged" (func $acknowledged))
    (export "timed-out" (func $timed-out))
    (export "refused" (func $refused))
    (export "command" (func $command)))
  (export "lockgate:guest/handler@0.1.0" (instance $handler)))
