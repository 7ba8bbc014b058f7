#error "this header's not for you"
