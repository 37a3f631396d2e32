;; A guest in WebAssembly text: what a component for the world lockgate:guest is made of, by hand.
;;
;; handle:   replies with the body's bytes in reverse; an empty body is deferred.
;; command:  its input is the 32-byte id of a deferred message and the answer to it; replies "\01" when
;;           the message was still open, "\00" when not, and refuses an input that holds no id.
;;
;; Memory: a scratch area below 1024, then a bump allocator that only ever grows: an instance lives for
;; one call. Strings and lists arrive as (pointer, length), the results of `handle` and `command` leave
;; through the scratch area: tag, pointer, length.
(component
  (import "lockgate:guest/messages@0.1.0" (instance $messages
    (export "answer" (func (param "id" (list u8)) (param "body" (list u8)) (result bool)))))

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
  (core func $answer
    (canon lower (func $messages "answer") (memory (core memory $memory "memory"))))

  (core module $Echo
    (import "memory" "memory" (memory 1))
    (import "messages" "answer" (func $answer (param i32 i32 i32 i32) (result i32)))
    (data (i32.const 64) "echo.no_idthe input starts with the 32-byte id of a message")

    (func $reverse (param $from i32) (param $length i32)
      (local $to i32) (local $byte i32)
      (local.set $to (i32.add (local.get $from) (local.get $length)))
      (loop $swap
        (local.set $to (i32.sub (local.get $to) (i32.const 1)))
        (if (i32.lt_u (local.get $from) (local.get $to))
          (then
            (local.set $byte (i32.load8_u (local.get $from)))
            (i32.store8 (local.get $from) (i32.load8_u (local.get $to)))
            (i32.store8 (local.get $to) (local.get $byte))
            (local.set $from (i32.add (local.get $from) (i32.const 1)))
            (br $swap)))))

    ;; reaction: 0 reply(pointer, length), 1 refuse, 2 defer
    (func (export "handle")
      (param $id i32) (param i32) (param $sender i32) (param i32) (param $schema i32) (param i32)
      (param $body i32) (param $length i32) (param $deadline i64) (result i32)
      (if (i32.eqz (local.get $length))
        (then (i32.store (i32.const 0) (i32.const 2)))
        (else
          (call $reverse (local.get $body) (local.get $length))
          (i32.store (i32.const 0) (i32.const 0))
          (i32.store (i32.const 4) (local.get $body))
          (i32.store (i32.const 8) (local.get $length))))
      (i32.const 0))

    (func (export "acknowledged") (param i32 i32 i32 i32))
    (func (export "timed-out") (param i32 i32))
    (func (export "refused") (param i32 i32 i32 i32))

    ;; result: 0 ok(pointer, length), 1 error(code pointer, length, detail pointer, length)
    (func (export "command") (param $input i32) (param $length i32) (result i32)
      (if (i32.lt_u (local.get $length) (i32.const 32))
        (then
          (i32.store (i32.const 0) (i32.const 1))
          (i32.store (i32.const 4) (i32.const 64))
          (i32.store (i32.const 8) (i32.const 10))
          (i32.store (i32.const 12) (i32.const 74))
          (i32.store (i32.const 16) (i32.const 49)))
        (else
          (i32.store8 (i32.const 32)
            (call $answer
              (local.get $input)
              (i32.const 32)
              (i32.add (local.get $input) (i32.const 32))
              (i32.sub (local.get $length) (i32.const 32))))
          (i32.store (i32.const 0) (i32.const 0))
          (i32.store (i32.const 4) (i32.const 32))
          (i32.store (i32.const 8) (i32.const 1))))
      (i32.const 0)))

  (core instance $echo (instantiate $Echo
    (with "memory" (instance $memory))
    (with "messages" (instance (export "answer" (func $answer))))))

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
    (canon lift (core func $echo "handle")
      (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
  (func $acknowledged (param "sent" $bytes) (param "reply" $bytes)
    (canon lift (core func $echo "acknowledged")
      (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
  (func $timed-out (param "sent" $bytes)
    (canon lift (core func $echo "timed-out")
      (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
  (func $refused (param "sent" $bytes) (param "code" string)
    (canon lift (core func $echo "refused")
      (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
  (func $command (param "input" $bytes) (result (result $bytes (error $refusal)))
    (canon lift (core func $echo "command")
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
