;; A guest that does what a script says: one operation for each import of the world, so that the port's
;; suite can look at every one of them. `tests/support/probe.py` writes the scripts and says the format.
;;
;; Memory: 0..255 scratch (results of imports, and of exports), 64 KiB.. bump allocator, 4 MiB.. output.
(component
  (import "lockgate:guest/messages@0.1.0" (instance $messages
    (export "send" (func (param "to" string) (param "schema" string) (param "body" (list u8))
      (param "timeout-s" u32) (result (result (list u8) (error string)))))
    (export "answer" (func (param "id" (list u8)) (param "body" (list u8)) (result bool)))
    (export "decline" (func (param "id" (list u8)) (param "code" string) (param "detail" string) (result bool)))))
  (import "lockgate:guest/state@0.1.0" (instance $state
    (export "get" (func (param "key" (list u8)) (result (option (list u8)))))
    (export "set" (func (param "key" (list u8)) (param "value" (list u8))))
    (export "delete" (func (param "key" (list u8))))
    (export "scan" (func (param "start" (list u8)) (param "end" (list u8)) (param "limit" u32)
      (result (list (tuple (list u8) (list u8))))))))
  (import "lockgate:guest/ledger@0.1.0" (instance $ledger
    (export "time" (func (result u64)))))
  (import "lockgate:guest/random@0.1.0" (instance $random
    (export "public-random" (func (param "count" u32) (result (list u8))))
    (export "secret-random" (func (param "count" u32) (result (list u8))))))
  (import "lockgate:guest/log@0.1.0" (instance $log
    (export "log" (func (param "level" u8) (param "text" string)))))

  (core module $Memory
    (memory (export "memory") 128)
    (global $top (mut i32) (i32.const 65536))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at
        (i32.and
          (i32.add (global.get $top) (i32.sub (local.get 2) (i32.const 1)))
          (i32.sub (i32.const 0) (local.get 2))))
      (global.set $top (i32.add (local.get $at) (local.get 3)))
      (if (i32.gt_u (global.get $top) (i32.const 4194304)) (then (unreachable)))
      (local.get $at)))
  (core instance $memory (instantiate $Memory))
  (alias core export $memory "memory" (core memory $m))
  (alias core export $memory "realloc" (core func $realloc))

  (core func $send (canon lower (func $messages "send") (memory $m) (realloc $realloc)))
  (core func $answer (canon lower (func $messages "answer") (memory $m)))
  (core func $decline (canon lower (func $messages "decline") (memory $m)))
  (core func $get (canon lower (func $state "get") (memory $m) (realloc $realloc)))
  (core func $set (canon lower (func $state "set") (memory $m)))
  (core func $delete (canon lower (func $state "delete") (memory $m)))
  (core func $scan (canon lower (func $state "scan") (memory $m) (realloc $realloc)))
  (core func $time (canon lower (func $ledger "time")))
  (core func $public (canon lower (func $random "public-random") (memory $m) (realloc $realloc)))
  (core func $secret (canon lower (func $random "secret-random") (memory $m) (realloc $realloc)))
  (core func $line (canon lower (func $log "log") (memory $m)))

  (core module $Probe
    (import "host" "memory" (memory 128))
    (import "host" "send" (func $send (param i32 i32 i32 i32 i32 i32 i32 i32)))
    (import "host" "answer" (func $answer (param i32 i32 i32 i32) (result i32)))
    (import "host" "decline" (func $decline (param i32 i32 i32 i32 i32 i32) (result i32)))
    (import "host" "get" (func $get (param i32 i32 i32)))
    (import "host" "set" (func $set (param i32 i32 i32 i32)))
    (import "host" "delete" (func $delete (param i32 i32)))
    (import "host" "scan" (func $scan (param i32 i32 i32 i32 i32 i32)))
    (import "host" "time" (func $time (result i64)))
    (import "host" "public" (func $public (param i32 i32)))
    (import "host" "secret" (func $secret (param i32 i32)))
    (import "host" "line" (func $line (param i32 i32 i32)))
    (global $pc (mut i32) (i32.const 0))
    (global $out (mut i32) (i32.const 4194304))
    (data (i32.const 128) "timed-outrefused")

    ;; the next argument's (pointer, length); its length stands before it in two bytes
    (func $arg (result i32 i32)
      (local $length i32) (local $at i32)
      (local.set $length (i32.load16_u (global.get $pc)))
      (local.set $at (i32.add (global.get $pc) (i32.const 2)))
      (global.set $pc (i32.add (local.get $at) (local.get $length)))
      (local.get $at) (local.get $length))
    ;; the next argument as a number of four bytes
    (func $number (result i32)
      (local $at i32)
      (call $arg) (drop) (local.set $at)
      (i32.load (local.get $at)))
    (func $put8 (param i32)
      (i32.store8 (global.get $out) (local.get 0))
      (global.set $out (i32.add (global.get $out) (i32.const 1))))
    ;; append length (four bytes) and bytes
    (func $put (param $at i32) (param $length i32)
      (i32.store (global.get $out) (local.get $length))
      (global.set $out (i32.add (global.get $out) (i32.const 4)))
      (memory.copy (global.get $out) (local.get $at) (local.get $length))
      (global.set $out (i32.add (global.get $out) (local.get $length))))
    (func $put_scratch (call $put (i32.load (i32.const 0)) (i32.load (i32.const 4))))

    (func $pairs (local $at i32) (local $left i32)
      (local.set $at (i32.load (i32.const 0)))
      (local.set $left (i32.load (i32.const 4)))
      (block $done
        (loop $next
          (br_if $done (i32.eqz (local.get $left)))
          (call $put (i32.load (local.get $at)) (i32.load offset=4 (local.get $at)))
          (call $put (i32.load offset=8 (local.get $at)) (i32.load offset=12 (local.get $at)))
          (local.set $at (i32.add (local.get $at) (i32.const 16)))
          (local.set $left (i32.sub (local.get $left) (i32.const 1)))
          (br $next))))

    ;; Runs a script; the case of `reaction` it ends with: 0 reply, 1 refuse (strings at 16), 2 defer.
    (func $run (param $at i32) (param $length i32) (result i32)
      (local $end i32) (local $op i32) (local $a i32) (local $b i32)
      (global.set $pc (local.get $at))
      (local.set $end (i32.add (local.get $at) (local.get $length)))
      (loop $next
        (if (i32.ge_u (global.get $pc) (local.get $end)) (then (return (i32.const 0))))
        (local.set $op (i32.load8_u (global.get $pc)))
        (global.set $pc (i32.add (global.get $pc) (i32.const 1)))
        (if (i32.eq (local.get $op) (i32.const 0x53)) (then ;; S send
          (call $arg) (call $arg) (call $arg) (call $number) (i32.const 0) (call $send)
          (call $put8 (i32.load8_u (i32.const 0)))
          (call $put (i32.load (i32.const 4)) (i32.load (i32.const 8))) (br $next)))
        (if (i32.eq (local.get $op) (i32.const 0x41)) (then ;; A answer
          (call $arg) (call $arg) (call $answer) (call $put8) (br $next)))
        (if (i32.eq (local.get $op) (i32.const 0x44)) (then ;; D decline
          (call $arg) (call $arg) (call $arg) (call $decline) (call $put8) (br $next)))
        (if (i32.eq (local.get $op) (i32.const 0x47)) (then ;; G get
          (call $arg) (i32.const 0) (call $get)
          (call $put8 (i32.load8_u (i32.const 0)))
          (if (i32.load8_u (i32.const 0))
            (then (call $put (i32.load (i32.const 4)) (i32.load (i32.const 8)))))
          (br $next)))
        (if (i32.eq (local.get $op) (i32.const 0x57)) (then ;; W write
          (call $arg) (call $arg) (call $set) (br $next)))
        (if (i32.eq (local.get $op) (i32.const 0x58)) (then ;; X delete
          (call $arg) (call $delete) (br $next)))
        (if (i32.eq (local.get $op) (i32.const 0x52)) (then ;; R range
          (call $arg) (call $arg) (call $number) (i32.const 0) (call $scan)
          (call $pairs) (br $next)))
        (if (i32.eq (local.get $op) (i32.const 0x54)) (then ;; T time
          (i64.store (global.get $out) (call $time))
          (global.set $out (i32.add (global.get $out) (i32.const 8))) (br $next)))
        (if (i32.eq (local.get $op) (i32.const 0x50)) (then ;; P public random
          (call $public (call $number) (i32.const 0)) (call $put_scratch) (br $next)))
        (if (i32.eq (local.get $op) (i32.const 0x51)) (then ;; Q secret random
          (call $secret (call $number) (i32.const 0)) (call $put_scratch) (br $next)))
        (if (i32.eq (local.get $op) (i32.const 0x4c)) (then ;; L log
          (call $number) (call $arg) (call $line) (br $next)))
        (if (i32.eq (local.get $op) (i32.const 0x4f)) (then ;; O output
          (call $arg) (local.set $b) (local.set $a)
          (memory.copy (global.get $out) (local.get $a) (local.get $b))
          (global.set $out (i32.add (global.get $out) (local.get $b))) (br $next)))
        (if (i32.eq (local.get $op) (i32.const 0x46)) (then ;; F refuse
          (call $arg) (local.set $b) (local.set $a)
          (i32.store (i32.const 16) (local.get $a)) (i32.store (i32.const 20) (local.get $b))
          (call $arg) (local.set $b) (local.set $a)
          (i32.store (i32.const 24) (local.get $a)) (i32.store (i32.const 28) (local.get $b))
          (return (i32.const 1))))
        (if (i32.eq (local.get $op) (i32.const 0x45)) (then (return (i32.const 2)))) ;; E defer
        (unreachable))
      (unreachable))

    ;; lay the result of a run out at 32: tag, then the payload
    (func $result (param $case i32) (result i32)
      (i32.store (i32.const 32) (local.get $case))
      (if (local.get $case)
        (then (memory.copy (i32.const 36) (i32.const 16) (i32.const 16)))
        (else
          (i32.store (i32.const 36) (i32.const 4194304))
          (i32.store (i32.const 40) (i32.sub (global.get $out) (i32.const 4194304)))))
      (i32.const 32))

    (func (export "handle") (param i32 i32 i32 i32 i32 i32) (param $body i32) (param $length i32) (param i64)
      (result i32)
      (call $result (call $run (local.get $body) (local.get $length))))
    (func (export "command") (param $input i32) (param $length i32) (result i32)
      (call $result (call $run (local.get $input) (local.get $length))))
    (func (export "acknowledged") (param i32 i32) (param $reply i32) (param $length i32)
      (drop (call $run (local.get $reply) (local.get $length))))
    (func (export "timed-out") (param $sent i32) (param $length i32)
      (call $set (i32.const 128) (i32.const 9) (local.get $sent) (local.get $length)))
    (func (export "refused") (param i32 i32) (param $code i32) (param $length i32)
      (call $set (i32.const 137) (i32.const 7) (local.get $code) (local.get $length))))

  (core instance $probe (instantiate $Probe (with "host" (instance
    (export "memory" (memory $m))
    (export "send" (func $send)) (export "answer" (func $answer)) (export "decline" (func $decline))
    (export "get" (func $get)) (export "set" (func $set)) (export "delete" (func $delete))
    (export "scan" (func $scan)) (export "time" (func $time))
    (export "public" (func $public)) (export "secret" (func $secret)) (export "line" (func $line))))))

  (type $message (record (field "id" (list u8)) (field "sender" string) (field "schema" string)
    (field "body" (list u8)) (field "deadline" u64)))
  (type $refusal (record (field "code" string) (field "detail" string)))
  (type $reaction (variant (case "reply" (list u8)) (case "refuse" $refusal) (case "defer")))
  (func $handle (param "message" $message) (result $reaction)
    (canon lift (core func $probe "handle") (memory $m) (realloc $realloc)))
  (func $acknowledged (param "sent" (list u8)) (param "reply" (list u8))
    (canon lift (core func $probe "acknowledged") (memory $m) (realloc $realloc)))
  (func $timed-out (param "sent" (list u8))
    (canon lift (core func $probe "timed-out") (memory $m) (realloc $realloc)))
  (func $refused (param "sent" (list u8)) (param "code" string)
    (canon lift (core func $probe "refused") (memory $m) (realloc $realloc)))
  (func $command (param "input" (list u8)) (result (result (list u8) (error $refusal)))
    (canon lift (core func $probe "command") (memory $m) (realloc $realloc)))
  (instance $handler
    (export "message" (type $message)) (export "refusal" (type $refusal)) (export "reaction" (type $reaction))
    (export "handle" (func $handle)) (export "acknowledged" (func $acknowledged))
    (export "timed-out" (func $timed-out)) (export "refused" (func $refused)) (export "command" (func $command)))
  (export "lockgate:guest/handler@0.1.0" (instance $handler)))
