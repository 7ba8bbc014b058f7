void f(__int128 x);
