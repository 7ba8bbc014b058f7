/* """ */
// header:1 "quotes" \\ and */ more
int f(int x /* """ */, // */
      int y);
