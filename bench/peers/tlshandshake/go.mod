module lockgate.example/bench/tlshandshake

go 1.24
