/**
 * What onnxruntime answers on the CPU to each of LeNet's 500 digits: ten logits a digit, in steps of 1/512, as little-endian integers of 16 bits. A wrong
 * answer may have the right digit: without the biases of its last three layers LeNet still reads nearly all of them.
 *
 * @since 0.1.0
 */
const base64 =
  "nvep+F/mafRKE98KtgKB928Axf9iA8PzFvPN9v/06fWo+Mj4YhdJCND7vfPF8YkA9u1j+y3+xPZ9G+j67+Kb9eD7EBcn6hv5odlLCo8DyQpo+ZPsZ/5FBRvp7glK2l/iA+9jH7YfT+G/8Tfxg/UoBF8CWec1+9z6" +
  "awRm5Vrzve+JEKb6Mh2E3oL3edT31lT0H/9uKBrdP/e05Jfm1P2w5dv7KumD7/f+bPMJCwnlpeyC80sgAQL67ZrwswX18TsBlwPk7JAN1PhOCELoQPhE59QsD/21EALsReQCx1zowdwS178GOeyFLLb+ieiaDCv0" +
  "qv5m9W7aKe5TA4UB9yU22e4Ez9K59lnx1/dj/fH9AwZj6X0RFwaCCK7bRu+n+KQljdijBG/kZ+j0BbLv//jR7tr4Fv1PBhEBt+cxIY38rQICAqvuX9gJ7rsAzATsJzTVVga11znnyt/P4G4En/laL9b6TeWQ9X37" +
  "fPb+7s3YMuoRJX0MpARM9zb9/Aon7z/0li2kBWTcVOsw1vjZhvUe80fqgfcZK0oKyttS7SjVxdzk8lHwGO0yAL4iFgds4mH3Etb341rw9P+M7Qn8qQhDDDr6d+m54YgffPoJ7Zz9hBuL8UHqJADc9AIJJ+p8A1bq" +
  "cv8Y6ArR0eGeB3wDdzYyxOwI+ME17Yz/ISJEBu7cR/if1Z3drfMiAevh/uOq6loJtOhAKizpgfCYAnX+u+e5+ev+wQxl+F/yntiXJaAAFAIt7U0D8iICAy7m9vJB3hnlwPFU97v0w9fo6vMFaPNeJwrzc+iY8yT/" +
  "vPJq3u7fGATx+i8j3wQo55n4gfVg8+HlBfJ/AgoAOvxS7MQhOQcO8Sz2Dva6IFADROYj8l7fauPt+G77QvR47OHtwwqh7HwIBetE3Rv6FRh28BYAQyErAmLo9fB74wTlOfaH9WH3k+dr9W0GX+pQCZPff+wE+AYd" +
  "wfexF8X22OpO+jn2pArJ46gDKOUTI3Xef/YO7CcAbP8ABYfrDvUD8NLij/yMBrwi3day86Da2+Vl+Gf4VuN02IbQ5gww5443Nv9r2JgCpOrzAWz8Deg870YINvqdHJHikwEi4OIj2tx/9sTsP/wOAHUAhfTd9/vw" +
  "OiPc2zfyqO2Y/y0B8AdK6M/zNe4g/Jr6lQJE/YPsmPa5+Yvm4BKB/m7jq9YE25gRdfVMMuf7P+O/9I/q5Pu85uzx0v5L7ykNvuFm54H0jCG09an0XyQ+BfLfivVZ1M/hTPisAabnmQD5JvAGX90h9L3Ved8T8on0" +
  "IyEZ4Mj4xu3V/sn/cABH8sP1wfLu7sT2AgTBCOL6Ie4B3xsk+f2p9tT1CO0372gIYe7lCDfsbN3W+BgYsvZsDpLzvu0g9Qn7BA5C3pMHieQnBUTvLN0S6AYRof39KWfSlv1uyW35CgLp+rf7u+/g+NX+yOpBEjL8" +
  "q+v6+v4nrAnE5HXvy9Uc5l/uZfK30q0CQP0iK9XTE/QR2+jbjfdX9m7uyBF492j/cAZ38tXzVf4R/cAE+yIg24b0gOxfAyMCjwYk7e7vCOsX53D4TwGZGOniOPxs6zXj+gBk+B/vNx3Y+sP/ngAP6PvxmwWH+sH4" +
  "wenz5tHxkwek6D0eA+U0/pUKMQPn6IfiJ+igCLDshiOw7Kb1dQdXAqDzrPyTI4QGSuhY8VvYm+cA6lH8oPqj6YH9Kgap6P8FStj69cLzuBuzABLqfdqM56EHFAFULWrNSgQtywz1BOpX5wD0UQ/hDX30aBMaBNYE" +
  "8QCo64nq1P6O8FoD7O7758ICQRlzHXfjp/RP8Rb70wDEA3/p1Plg9xP+ae3E79oAv+3cAdvnMuxkALUbWex+5kkaQA497j33uNa09kXpu+6a5RDe6tdtBxb6EjLvANvdrPb/8BD1Lt2Q2jj7GO/MJ4kIcOyzCqvs" +
  "I/1Q8i7rlO+HKP4HQgJD9zPvSPbA7JHxOfVtBqb22gWg5Nj/6ALcFlXva/sjJDkHPuQN9rTVpuKY7X75offN803tgPjABI/6Nu4ZBigJGBnnBnrurPdO7XUfjQGR+80DO+4P7Qb0APET8+IDZPIoC6PkiOZF8vwe" +
  "M/JnAuz3Hf1kDVD4HO6rHZP9X/5O8zUBjPYwBJnutPp2+AzvthGPAKPrB/GkAjQLYPpb8LHa2STB+sH5Dvm563H6HAUg6fEKntqm4crviyFk5eLcwNoHAVb29DYZ9l/rVfvS+pvsivRj8i0dO+a6+hjrMuc7/O8A" +
  "qvlh76D08gLA8f4G9OfJ6Kn0NRqSI4LfpvU97R0Aqv8SAzjvofNG8D36V+zK8s8Bwu3GBTjkUe1x/N8dJvcJG0T4IfDI+Hr3//+q7SAEA/DO9xrlG+dG/D4GTf7v7X4jPwrm/6UEs9x3+sfn8TapAYENT+1i28fB" +
  "8PUQ7P/x5gYV6tEHmd4L35XzJSOA8akItxF3/bL8Qupz8M3+9P0M86nzu/3G8m38dAJS98frcwTI/40XDwN65Vr0cOpcFnb+hB0S3vzyfc6k5bXpJONEDG/lGCJS9dblUwpw+MQBYPd16snldwJX/IAhGNIOAC7P" +
  "veJS+FH/7h133B38bd+j7agHZADc+mb0iPSvAcnvJvtU/CnyaBm0AAje4Op9+OQg+9+5CAXtNN5LAs/tkAdE7ybuQOUgJ9b/6gwG9gT0bdZtIXXZkvJ27SX/nwYxA3D0KfWP7d/seRcsAgYALQBF8JXy5v3X9zT6" +
  "Kffs6iPzCwYv7AMKeeNJ4QP2lR5G+qHhi9TO8AX6Gg8VKczQpgrL0Lr2tPHs/UAJ/uhw/hrY6+pO75ceF+bv4KvhZgjy6sYnTfXe7RwMs/kd8zLz9fnECs/s3P7X30HukPNyGZz6cN6j56frTjGuFIgJdvK75mDc" +
  "CvOb6cjyvgCOAUMJaOZgH8oBsgPlH9niDPUq70QBEv6UBtbqePUa7xrpOvSoBmUHLwye8kTdTSle8J3uwOkj9IgwpA1o1hjmx8zt2gLwFPKQ/pX7GeTS5o0pMweAAIcByvNt9l733O1p/QUFwenpBL7VU+Wd7eUj" +
  "rPLRChwM5Pyd71n2CPHg9JUGtviS7XbqJNS6+rj3th7qCyjm6Avw9Ynv8Bfz/IgAowFT7pjzLwGv+mX8zQC48LXiS+YXCN3+USi3zSD98cn8Hkrb7vlD8K38MwUg/bPseu9h9ub9HeZF3JDkuQfQA5QuhMyQAj7I" +
  "VvY43tvt1/hJCYX3TiKd2a3+08E14ED6ef6fHcjaOAHz3rHkHwWyAs7dE/Od7xYpX9n6/wDkqtyfAJf/+/1v/6ntwvczFgP8TwTP+o/9nfv6+uT10/ojAuX0dPqh/iH2Hg8W+JDx9xTy/OT7awN98PT5+vp7/yT6" +
  "K/I16OHZGfCeJm8VUAZRAJP7qecb+S3+3uvx9L0e5wAx/XABgPex/sbrs9Kp21AMHewgNH/1r+JL90b3TR236sP0Tu5pAFj90AT29Mz8RfLe/8HqFNAz4eYImgDUN/PB4gYCvjH3wPBQ6N//eOavAbj5TOk0IHgK" +
  "SuaY6DTtaCbR4XUFCO4q4k39v/MT7MoSzwHAACD4pPWA9Bj0Nv5O+UP/HvOc29Lo4Az6/aQpyNXIAebKGehy38HXOQfh7mkuXP7G370CC/UG9Y0Dp+tW74UkzAJu+u0J7PSW+dry8f06ARcDKf9q+UbmAxUTAfwF" +
  "Au/4Eu74+P78+Tj2Cv577+oBWfJf5MLvDfoLKuHXp/7v3efY2PHx/c73X/BZ5rH1eQSB+2ftXAeCDbUcXPA/+XoTeQ2Z5zr09+bQ8av9CvMB8sX6uCACBMnjm/cO273lS/mx/j3jT/ZO/6Em5drv7onggeLl94P3" +
  "6iGC3cL0CuzxAU4C6AYd7qr1Hewt/wXxg+Dt5kgPDv7/KAzQs/pAxvH2jfW/4X/vjyPGCTYBOf7c+qQCHu/E2+Tndwf29solbPHZ9RT9OgQaIf7aiPKQ7xj7twWRAgPsv/N69Y7wGQQaIEsAE+aA9Ebi7+QR9z77" +
  "JvJl9of0+Qqv7RMB/OrT46/7wRWI54YcNP1yAWr6UOuK9YXyJf2f97kgm9sA8ynwQ/mnB7f9TvWD9E32af9uFRXzCvN9/NX32v+i9MUGLfa84zDtGfekJXbdgAZv5fHfAvui9l/bLPZI9q8vp9RD9xTdj95B+P35" +
  "h+I1IloIVPpI5qX3tedH3Cn1kvUiIy3aJPGv7iD8xgVTBIXrzvPZ8uICyeoh2SrmBhC7A3gsHNEDAHLM/PbiFlwDw/BC85L0Bv3q6RwHVu0kFQT7xPVF6kMGMfgRDETqnv+s6zP7kvQI6iPp7i1vCY4ABf+u7lXs" +
  "b/hD8FfzGwXb7o0Goeii4VD4PRtP9OvtoPEWB7Ltmwfp433gk/PuHnjvFgF+HSsG1eT9+WjZG+jJ8tb/hekO9VL2ux094hz0je8X43gCwvU+/4ruI9Uo6GUFfP9ZMdvO/AMXxbT2RP0j6kvyWRCFAsL8jv2FAyAJ" +
  "Y/thE/n5PPRm+RH4q/ys9OUHVPYg9LD3TR3jC/fnCvCO24zoaequ98nr2PQD+QsG1/to+q/iESN/BoP8UfFu49/irv0q9Skh7fMmAFAMyP+5/8TmoNlo5H8MvQRVLwLL2/9iwvrtPeyx90Ube+XvB3rjWeia8/gE" +
  "cvVb+UrocfDZIwgFifpPBkH3ngMC9N710OIK8HMVDwUU+tP9EwONECcHouRm+NTnfDAL/DoQWe694eG/c/nvHGH52e4s/G71yP5X8V4DNPBH+NPwXyr0ALXjdO0i2cXf3/Z2+YHcnfWWAJkh6Nun+Vbk7e0JBAzv" +
  "Au+uEaL5lP8ZBT/1zvIpAv76rwSv7O0YrPugBJj66Om79uX2A/wo80/+LfPK3ybkEwk3AD0pc8+C/h3Gd+IB+5r3oB8y4XD4jeSM6nsDlP+/95X3SNFX6Z4FnwOPLN7OGgmDycUBTfBP+A38hf7VATDqNhp8/iME" +
  "9+uB/9774P1cEqz8VOcUKUn5VPOx8+vXRNvK+wLzDC2vCSLlzAN16ljfAv7nAzojzNtC7InYC/Ow/Ez6LPsS59XsRfvf824PleDC4enrPiiy9Lf4jPAl+gEB3AFI8N8A/wB/FqLhA/Xg8hkmM90gAgbkjeGq+fD/" +
  "6ORqHwQQAPkc4WX0meS61z306fSU9U/weP4mC9XmlQEA2vHi9e74HEP+2v7q8zr8D/od+pgAvfjgEHb+Zu1x/IkNMQWAB6ryNd8MGo/tcPMGFAPrh/j/8p0Iiv1tA2r9bPWZ7FHl3fv3AVsPoPQb9QLSeiUl/SAC" +
  "hO5r9/8peQP34avyuNfZ39f0PPWK/oDzTtgm623+/wEgKc7SQQg20L4hxuBF9l3sBAGf/1YG3+ru9Z/vFOuX+yABtwuM/LrwouMSIEz+IPUb+cbfQOJI+pMLjQ2K+RgYzQZs9s7v1AHV+BMCDAG68LjmtR1WBHYG" +
  "kgdC88rsI+g7KCkABA368EHy0ds05B32afyZJqbbI/4V3FDmcu5pABP0P/ZM+mMF+vKn/ADjmPTh+HcZtfcaA0vsY/YOHB38Rfy4BKz5bwE9/YDoNO7cBLLoqQeZ5bHeHvzeHcD4Tvtr3vHx8AAiA9EdmdpcCGfc" +
  "7tjr+6H1jCmV2HT7cd9k3KX7mPp4+/wSkfLQ8rb7o/h5AdXzZQoj9CbWXPdU9okwUNCj9jDbIuHOAIz0EP5v79voGfum+QwE3/WD7M8Fxxa08jAK8fcN/sjx7vsX+nDtKQsW/X8fY9+19IPwZ/p7BJgBRuvp9E74" +
  "9vN7/dvt4gD98JsEiQP37bwTL/av6ED7YAFSC/z2efT22wQi2wEj/GH1a+0G6eMEbumCB67+Se0iG2oBLef+2tPUOAih8iApevvm6+0LN/yYHPjcQvco8b7/UQPiAhjz3/LD7+L/MfBO6OzrGikICVQJ+vFU8zDs" +
  "CvXB0pzKivyY9Bco1hGv69ARd+kVJmzYEvPV6QsAqgSdBjnrKfRJ6z766Bm5/O/v7vtO80f+DvMfBavwUvZk8VXyAwaE6Vn8Gexg+0EVWg3b/wn6QPya+WjyC/dy/mjtpxOH/1kiw+JU9TzuFvy8/XwBMPAc94P1" +
  "9hgr6DD5avPK+isAYP3U+wD8Uvji/D32POtN6nUlEAXA96cKCfQ1/Rn/LvJ15SPr8iWzB6sAUACX9qX3GuQt44/o9BMO5fccHuma+ZsMwvuP9fcUvgRu9Y/7t/Jg+e74xwR88wLvDNZp3G0Mc/PFK+z9ieyf+7zx" +
  "Y+752NzbrRA17nUoaf8M6ScAVuzs9QDovyQMBGLtC+0S5dLhRPGZ587ryREr/TwAV/qA9/z3i/QY/xX3iwBV9hfxjfZ98EX3YwqM5AUbA/I+2Hn/Sv1tKTnWGvLP3gbh+PlX85nobdGt15YFKfS7On74nO5n+tbz" +
  "IvxdFbLsz+wF/JX2Awvr6WkO++n7Aifl/ds95/MHGwTyK5jNKwXD0QTfE/RN+Fopr97I/EDlDuaq9pTw/wPM7LTlU+OQDUsAgigdz134Zcos+0T1Ae9f+4f1S/yK+T71tBZACajytPab8hQIY+/f/W/1yvd/Ff4D" +
  "kgCU9BP2/gLJ7iH/6/9m7hISj/uK7yv4visTBazeVu/v04HgivWZ+EjmB99a5ccKVOcvK//wePDtB+X0OO7g8tr4eBFQ5jcDeO3F9bAObQBhGqHtdfYt8jn9Af25AijxL/5B9yztzgIjAgsDHQWH+Ifj1yI9/ff7" +
  "8+7f/kkajwgN6zn3i97W6cfvUvh4+uj8EeeS6W0qTwWO+xcE0PJ1/UD4sQdr8dr5lxT7+M77nQKV+ZIBQfSOGzD31vKx+gX41v9Y7ikCUfBo/BP079+v6JsJd//7JurS7ABuzU33Z/ie904FO+1T++71vfNeFXQF" +
  "/Ne0+DH3Lyhj25ICg+KY3lD8L/SA7KbY890tATb+2iu0+xL08P/dAK8dztlg+YDv+v88BRYBtu7H8KXwGO/U/+sctwU542j6SNw05S32ewAWCL/yBfU176Uhif51CtPvXO6u4E3xSQDMGfoDu+Om9UvlieJ6/H/7" +
  "fe25+B/+EQOzAWX6p+QcJxoAQfV7+LsY9fi38l76A/Zt/pbxjAZ68gz3s+1tASEHX+eTA5XSouQs6tQi+PMzFu77N/db+YL2qvxx9L8Dd/b151kIqhnoCOLhcfe43GTk3/Fx+BIBxeIp58XpVQkaBX0mS9QT/PvQ" +
  "0fVy9CYWqwGh+3LyqO1C9R/5Tfag9yLqFfqpBpTq6gho2e7kpezpIO7/c/EH1jnrGQW9ACEt0tPtBiTQNvi46YzuLQAK7ioKYd46337zGiij/4D1HOUu7U8l6AaqB/L4fvkK6pkAt+c42ifmqQYsAW4vcs1/A+/G" +
  "O/Jt/VUlegEz4Fjyj9e94MH3Of+p7SgXz/Bq/XkDCfBj9x362AFxAs/bYfJg8i4u2dYs+nPf5eWnAKD4gd7l8drt9iTc5rkB1ux75/EACvllIbfWsPLS7VP/OwYyAff1ovB68O373u+G6vMB/OIZ+nn7V+XvJz4G" +
  "bwLS88n06gD67rz2PPbU8NkQowYT7qcEF/pvBf3+NuvV5sgjnAQn/eAF1/P/5JTy8O7y958E+d73Il0H/+7/GVP9Rv0XABnvJfd9+rz8YvjM8fratOTqB87y9SVZ9gz4kQLK/bD9zOpc0gbopQUJCHgt/9LVB3zG" +
  "J/Oa5ijucAVI6yYOM92d2fjvBCei5izt5PFyH/zn1fry9sjijAMr6S31PxMQ+mT7Nv6i8R/7X/jTA1r6cAhJ4x73t+h5K1X6qhTh6djlksX97ugGXRv0ARfn0vbd4fvmlfYM/yXuHO2M75MClwVbAenrMyA2BXz9" +
  "AiTg4cL3we3P+Mr9+v2V76L3B/rn+fPnz/ITAEft8wtQ2ubnJe3tJpUfr+Gk8Qvw2/oKA/EASfUf+Hr3yvodFx7xTfBl/gD2xgZV7h4H1O2KJtXWQ/EU7o75MgXwAefol/Ha9Bb2E9kB6PH+1PgMKv32UO7n9e8C" +
  "9/YT70L/Jwee5oYCWdSj6BfwqyIKIiDkLvmh7fEBbPq3AK7zOfVb7z8BAuiT5qDmrQ63ARMn8tIU+9HPNv8e98DX7uUjB8L8By7y0nwEfsnx8EcXXf3P9FnyjvMyAPjp6wdp7NT4dug65vL8lPclCZTuzfFxBEgd" +
  "Fgkq77vvauX1CVP6bSEI0Xr7tNEk6n7vLeEYBKX4iB1ZASfo3/8W+IQhleN9+GLuxP+l/OEB4+8N9jzyE/P5+9sVmAH7/Zfx+esW9l/0qPeH9M3rDfSpBI7qIwwT3WHiqfViJKzw0QTJHtQCtuXN9VndkuSI8L38" +
  "zv8l63vduejv/n4BUyoMzNUEussJ9aX38erj/qP1pQVTBUv2/xV77rvsGx/s+OD6jf2y6rf5QvhUAmj0V+b23ivo0w0y53wpEOwS8wIEiPqR2ArzR/LsMYfToPcr4FXg6f+S8r3hfvKs9uIiNuLhAbvsv9kn+WL2" +
  "793q5wXqpB5B4cIX1O/w4awJyPSv8Abl2vTBBm/8BAHl5TkkhQNe8030o/A47CQKOOV5/zP7o+UKH9gBBuiUBPsf9gio3I71gNel3dfwtvoa8ogVb/f4+Aj8Gfgd/zfxRgL/8tTo6vqcBbYbkd7W+Ozbku7c93AC" +
  "eB5s3l32T/A+/TQChgX/5Tr1tvNu9V34u+Td7mommQX7+QwIgPgbA4gkPtl395DroABHAecCA+0x8dLu6e7a9Vst5QTu23bwONEd2270L/n/6XH2OgS+CcH6ofRr1lQoM/sQ/dDt/hmK+CMAgwAZ6kPx5wOAACn/" +
  "jCQM2bzxGOyR/nwFVQZW6jv06O3xIkTiUvO47fj9+f5XAtnzUvb48jf86+vT+N4Ele2FCTTmneM/8jQXSQaf7dr/1uwLKff5Kgcr8jflfM+zAJfhZtzR59UH3wjtKhPWB/95ynYbGOai+YXxIvzE/90A4e6M+LT4" +
  "qx5R4LP3Z+/f/KUCWQAa8u/3q/Rx2H7/k/2XJHbXBPyL23zff/2A/r/4sPlz+j3/X/iN9tv1bwh4D1T5WB0e5cXzyvBE/+n/kQa36rX40/JG8Rbs2PRSG3HqXPsH8FflOfp2+bogIeeH+FHth/6V+6cEPeiH++fy" +
  "DfliAgT2Ov7V8IH5QwGI6XkU2vg0+TwA1/9H/nz4Vfn4+6X5GQ6j+OD1mvTaAasAEPu6AQXkPRWeAH0Fw+4fCB3/4ARO+B717PEK/hkDrP+v+P/jEexF+64ESQMm6oUnngab+uXsr/Ms9D4NHuebD/fiRtZk8bwa" +
  "qfwW+271Hf6e7L33IvxM7vwarwHB4033Yg3LIALaxPHE2270jvsx7vn5D+VG7Uj9wQKPAWLssiO0Bpz6JuiwzSXPlQz57js7TwEB5UH70edG9P7r+eBO+ZgBQwXj7TbvhfhgJRjoweTf5kIORvZWH031beSO8f8A" +
  "m+XG8u74WSV83f3+m99a5QD0mwBN/a/5EvO2/1Tu3/ho+lnyXhqcBfvyNu6N8SIG2OuGBXXdYORI9h8lgfBN838tcQVd3UXtFtNN3S71svcg5/vaGtiaCurxKjH2/b3l5QB873DywdX05N4GmvLrLFn0tOoF9RH9" +
  "2uUr52vhSgCN8nYpIvVh7UUD5P5H630WMvoBA0/85++K9Ef2avz7/Af7AP1e5DHq0wC1AMMgfdPN/qvUHfCfBm76PP/cArj5/evZBn75ihBT4y3fq9w+C6fpAiWo8dLxuw8J/u38CeHgzYD25PdzEVsmp9uwDzTX" +
  "OOp7+iP8og1e+yvxauncGWkCpfQUBfnxqfkF6ewoSf7/CtfvgOh50gIfTdqM7TntOwCBCMkIRfcO/BDpP/wp3fnY2etgAe4NGi1/zo0B38oO/gLs/N8P/R/kjv6i/hPkZynTCp3tcRZf+QUAVf4U80r1n/d9/tn/" +
  "B/i3Glz3jO/9+yb0fgR/7XgFl+oN+pn76vH8/5bt9vpF/wvwXhqr/lvxbPGk79AH5uYKAkvxlvkFGEEEFvvv+DTfV+tuIwEGXgKy/BL+AATmIIzf+fXa7ekAzP/OAQr4mvSz7kz7EPUp5K7vCBx9BCP9ZQEA/xkM" +
  "8CUL26TxpO4Q9sMDjwB65mn2mPmC9lUdm/w57hL5KfRI/+/tkASB7WvWGvR8Ai80BM3D8wjVUt348X7rH+7l1O3UlvwKDcgu3waj8bv8sPca/FD8vfcs9HAeOP8J/AMCHfCC8mruvPtzAlUD5gJR8z3f1iii/gr6" +
  "AwHY/P/2TvKTHl3/qPoQAWjuUPac64PrHu/eB6ft5hpA8ZH0DQgX/g7+Qu936bnnwjBSCIn/sf6k7WXqGwFU57fUb+LCCP0EzjIHyAQFqcgp/EP3TNOU47QCxgJ8L2zH9QcbxxXz6dTt62gFf/Q0KPjuIOAI8PQG" +
  "yACk8PLjWeQQLdAGVQj1+u/0yuRj70ECK++sBRXzSvvkA/PmqhJX72T///pZ6XXlCCjoARf8LwpV8wryTfO176gc0AUB8eb0/+N+7vD48ffx4+cdvwU4/qvlOPg554TZz/OO+ifyG9+a3iMHIfjXHHj3jfkYC5gC" +
  "Pf9+8WTiSPj555P8EAVG5PcmkAJT/Rrxa/hE/sL87QBo5vIe3gDiA9v1SvNbFBAGpOmR8qnvQOibA/fwqxw06JX30PBu+9H/3/9j9Ej6QPlA94341BvcAkXkIfap37rgXPuvAvv/2+6j7BrrAimhBVcEBvmG8Tjs" +
  "YfN/6/jgSgG+8CEKaf3S+EQY6wGW+eTzT+sh/LDxsf+VCpDrnBa88TzpOt3/2vIKgPFBKh7/oOT+BG/1fvAH/6jy//wLBO/9oe60/sf8oxjs7MwBeySaBanijfKn2WLhRu4n9q/+rfEWALHwjiM990oGN/xv6WjR" +
  "Qvtb7wcAswZa6fQGndzQ48/sABrW72/g4fioBk3+7wFU20krrvt79T4mzNoG87Xtcvg9Ag0CT+VR9av3N/lj7afhfv3P67MC0P2F7NkgoQoK/Z754/fM9Y8cJv9D/CAEqPBl8Rn1rv5t/I//efoP+1/nygt6/94N" +
  "ZSU61M70W+zG/vkElADf78DtFvBX+Lzvf+z9A8rsfQBaAAL0pBuq+vrr2B0IFKDy2OkO8D3sw9xa9EruTP44A1/hUuFoA0X7MSYkyGYAJstO/UflWN2g6r7/GgVIKg3N5wX8zfPoANeu0IADXfsKNjgHEONs+4Tv" +
  "3N0z/Jn7sCkQ20HxP93k5F3z4/sG4srwHfJkKTXVYvzO4XfaLAEMASP+LPH+1Hbs9QM1A9cr/9RKBs7NGNKt/+wI7ypk0bPxrNO14ob33PJ/3dnUjs5BGS/gxje1+hDdeAH34L/6NvGG9Gr4QwmgANnu2h+rA1v0" +
  "JPqt7Zrnq/9L6wwBq/so7uQeIArS9xP5P+X27P0gFP/S+LMIc/zpDXf2A/IGJPEEzeHf8KjZGOPZ+gb8aPc674nizP6n5lUC0/xt6eAj8Aj93pf0cPKxKI3bc/p65S7ZZftE+6Doeh0FBff7COh08nTq2dkR9in8" +
  "mPl0GMj4WvOm/Yv1Gv4z9dMDEPTv+bcRUfke8YD4sfavBsvm/QaA6i/20+xU9K8GG+s3Bzbg494k9PMgm/Td+r38fAGBAQbuyedqIHUEEgAWAtHxSNfk5/ILQPwZL6DPUgLcx/z3rxbv9s74XQU+8sf6fP01ABT7" +
  "uPyR7iD8egC07YIDPdya8QT0uR6KH9bjRfUP7+r9kP8RBZXuJ/ld8hUlrNsU8WXujfjLBPgB++ku9XP3Rtf+/cf+YC/V0lDx9dc42azuqPfZ7NkA6wCuDbrwPuhx4vsYrAVh+vPz7+/X7iX1aA0SBqLyIRWLBoUA" +
  "tPyK6dj0Bup7LW8JjwPj+47mjN1U8eb8Myb3Adji+vUQ2HnicfQE/2EcRu5c9ujuiAFa+5QCGvcX/MPyTPom7APdsuyhJ3YP7QW++2H8qPBV+MTo9/gQ/hsCAgSy5dsjAv3T+hz9YfFf9iD8L/8SBjrqpxmJAGkF" +
  "8Cgv23XzteoI+qkAhQGK6tP17fRP6r332Az2CPT/sOsg2c0j/vXY9RXYne398WUwj9XZAUnjiNzLAFrtmfHw+l4hBgXz4az4K9fe5AH4AALS6p/8dv+/By7+U/bj2WApN/8eAUHzdvUoET4EcPiM8+jxWfJ3/If3" +
  "bvN316Tsmwkq8GEkRev11hvriQqxArXo6OFJ7JcG4wUvIvzVjQUI4Yj8jPR6+c78AP8aADDoVxxPANsFxPK12eTtSQhy7zQnsO7F6JLzAP8s6evhi+XiBOf52yjN9v7wPfxq/07ubtkH1U//mvwEJjj+a/QnC9kB" +
  "nO6J+n0JIw6d8Vfs++DIEysAXfjW/dHlLwNzDFjrPfEo9YvifQMN8Zb14fMA9cD+kASf9AvpHiVDBUv+wfiY8f7mbQBR5L7+YP/k5cAk5gO1AKDxs9KB4jkImQFeMh3FLwSMxTLxT/J/JZEKdODk7fDX3etD+rjy" +
  "7uvg+cQjVwsr4NXy8da34DjxgPX9+wT+0ffJ/mTxfvl4/EDziBVi/xUCtfjW7lb5qfEZ+b0AdOsrG1EE8/yh33vNr+qRCOsL1zJIzQEGe8Wb4L3yM/8MIWDcZgAm3iHxWQM/+jnl8/LB8woh7+S6ACTw++dHAEnx" +
  "jPKY9C0npgh7437wQ9aM5UTw9PXc6vT71AbLDXX2a+3H3hkelv0e8y/smPMB9l4dXOGx+2rqEuBv/rcAH/yl7jzVy+W4EGQEuC2SzgUB38T56532FjIjCdPaMOy1ysThUPCf9THy6A/W+nb7DwQg/XL1Y/wA/DsC" +
  "euy1/7P7sAcyAI3xneIHJXoBIwHG9hD0f+OA86UotQidDMvxW/NQ39713+4F6UUFe+aaAVwBzOskIQ/8ue2MFhP+KwRs90bpa/Rl+Wv/LPXm/cft5/a8AinvNAnN6dveEfYWGK/wpvejKHQEDt8d8VHWqd3n9L/6" +
  "jwBq9nbcxeZ9IUcDzgU0/X0CQ/xT+qbdjO6t8Lgs5Q7LDFTtYuaB0JD3j/R85rT6Avf4/Qz6S/1JGE0HN+0g/q8HKgWW/h/z29rJJ+H+/vlw9gP0S+kX8bIqdQo//TcDwe437q7+VO0A1hLj1Q5TAZIxdMzlAcjG" +
  "MfpQ92L3TQG/8AT/uve784cTBgUx7/XYE+mWCDLwNit47Wbr+vSBA2PePP9BCGcondYj7FfWLt8g62L38e+i+6v4TwWmAGjvT+dSHvYFggViAlzio+Ea6LQM8wYVKSjSGvxQ0Mvwn9fE6KAKuvCCJ+7x4eD48RkB" +
  "ZP3L7QDnNOahL0AHsgwk+y/ujNJUAi3rd+GY/I/qRf6gAczkeiN7Bw=="

const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0))
const view = new DataView(bytes.buffer)

/** @since 0.1.0 @category demo */
export const lenetLogit = (digit: number, index: number): number => view.getInt16(2 * (10 * digit + index), true) / 512

/** Of the largest logit: GPUs multiply with fewer bits. */
const tolerance = 0.02

/** Why numbers are not the logits of a digit; undefined where they are. @since 0.1.0 @category demo */
export const lenetProblem = (digit: number, logits: ArrayLike<number>): string | undefined => {
  if (logits.length !== 10) return `${logits.length} logits, not 10`
  const expected = Array.from({ length: 10 }, (_, i) => lenetLogit(digit, i))
  const largest = Math.max(...expected.map(Math.abs))
  const at = expected.findIndex((value, i) => !(Math.abs(logits[i]! - value) <= tolerance * largest))
  return at < 0 ? undefined : `logit ${at} of digit ${digit} is ${logits[at]}, not ${expected[at]}`
}
