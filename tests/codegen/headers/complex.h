void f(float _Complex x);
